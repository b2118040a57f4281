package ai.winnow.runtime;

import ai.winnow.architecture.Dimensions;
import ai.winnow.ir.KvPacking;
import ai.winnow.ir.KvPlane;
import ai.winnow.ir.KvRetain;
import ai.winnow.ir.KvShape;
import ai.winnow.ir.Node;
import ai.winnow.ir.PackedFormat;
import ai.winnow.ir.Phase;
import ai.winnow.ir.Site;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The text of {@code explain()}. Nodes that do the same in many layers share a line. */
final class Explanation {

    private final SparseModel model;
    private final String warmUp;
    private final StringBuilder text = new StringBuilder();

    Explanation(SparseModel model, String warmUp) {
        this.model = model;
        this.warmUp = warmUp;
    }

    @Override
    public String toString() {
        text.setLength(0);
        Dimensions size = model.definition().dimensions();
        line(
                "%s, %d layers, hidden %d, heads %d/%d x %d, vocabulary %d",
                model.definition().family(),
                size.numHiddenLayers(),
                size.hiddenSize(),
                size.numAttentionHeads(),
                size.numKeyValueHeads(),
                size.headDim(),
                size.vocabSize());
        line("policy     %s", model.policy());
        model.policy()
                .methods()
                .forEach(method -> line(
                        "           %s: %s. %s",
                        method.info().name(),
                        method.info().title(),
                        method.info().paper()));
        model.backends().ready().forEach(provider -> line("backend    %s: %s", provider.name(), provider.probe()));
        model.backends().missing().forEach(each -> line("MISSING    %s: %s", each.name(), each.reason()));
        line("threads    %d", model.workers().threads());
        line("warm-up    %s", warmUp);
        line(
                "memory     weights %s; a session: activations %s, scratch %s, keys and values up to %s (taken as they fill)",
                mebi(model.weights().bytes()),
                mebi(model.plan().activationBytes()),
                mebi(model.plan().scratchBytes()),
                mebi(kvBytes()));
        line(
                "context    %d positions, %d sequences a session, %d rows a step",
                model.limits().contextLength(),
                model.limits().maxSequences(),
                model.limits().maxTokens());
        for (Phase phase : Phase.values()) {
            Plan.PhasePlan plan = model.plan().phases().get(phase);
            if (plan != null) {
                text.append('\n');
                line("%s", phase);
                steps(plan);
                refusals(plan);
                drops(plan);
                if (phase == Phase.DECODE) {
                    keysAndValues(plan);
                }
            }
        }
        return text.toString();
    }

    private long kvBytes() {
        KvShape shape = model.definition().kvShape(model.limits());
        long page = 2 * shape.pageBytes()
                + model.plan().planes().stream().mapToLong(KvPlane::pageBytes).sum();
        long full = (long) shape.slots() * shape.layers() * shape.heads() * shape.pagesPerHead() * page;
        return Math.min(full, model.kvBytes());
    }

    private void drops(Plan.PhasePlan plan) {
        int layers = KvRetain.of(plan.graph()).size();
        if (layers > 0) {
            line("  afterwards heads of %d layers drop the keys and values they did not choose, for good", layers);
        }
    }

    /** What is kept beside keys, and how much a token reads at most, where a policy makes a difference. */
    private void keysAndValues(Plan.PhasePlan plan) {
        for (KvPlane plane : model.plan().planes()) {
            line(
                    "  beside keys: %s, %d numbers of %s for %s",
                    plane.name(),
                    plane.width(),
                    plane.dtype(),
                    plane.unit() == 1 ? "each key" : "each " + plane.unit() + " keys");
        }
        model.plan().packing().ifPresent(this::packing);
        KvBound bound = KvBound.of(plan.graph());
        if (bound.read() < bound.dense()) {
            line(
                    "  with all %d positions a token reads at most %s of keys and values and what is beside them, %.1f %% of"
                            + " what dense attention reads",
                    model.limits().contextLength(), mebi(Math.round(bound.read())), 100 * bound.read() / bound.dense());
        }
    }

    private void packing(KvPacking packing) {
        KvShape shape = model.definition().kvShape(model.limits());
        PackedFormat format = new PackedFormat(shape, packing);
        int width = shape.headDim();
        line(
                "  packed: of each key %d and of each value %d of %d numbers are kept, but for the newest %d to %d rows; a page takes"
                        + " %d instead of %d bytes",
                KvPacking.kept(packing.keySparsity(), width),
                KvPacking.kept(packing.valueSparsity(), width),
                width,
                packing.residual(),
                (long) packing.residual() + packing.unit() - 1,
                format.bytes(),
                2 * shape.pageBytes());
    }

    private void steps(Plan.PhasePlan plan) {
        Map<List<String>, List<Plan.Step>> groups = new LinkedHashMap<>();
        for (Plan.Step step : plan.steps()) {
            List<String> key = List.of(
                    step.node().site().role().toString(),
                    step.node().op().getClass().getSimpleName(),
                    step.kernel().name(),
                    step.backend());
            groups.computeIfAbsent(key, k -> new ArrayList<>()).add(step);
        }
        groups.forEach((key, steps) -> {
            Node first = steps.getFirst().node();
            boolean same = steps.stream().allMatch(step -> step.node().op().equals(first.op()));
            String op = same ? first.op().name() : key.get(1) + " (parameters differ by layer)";
            line("  %-18s x%-3d %-10s %-34s %s", key.get(0), steps.size(), key.get(3), key.get(2), op);
            String note = steps.getFirst().note();
            if (!note.isEmpty()) {
                boolean one = steps.stream().allMatch(step -> step.note().equals(note));
                line("  %-18s weight     %s%s", "", note, one ? "" : " (first of several)");
            }
        });
    }

    private void refusals(Plan.PhasePlan plan) {
        Map<String, List<Site>> groups = new LinkedHashMap<>();
        for (Plan.Refusal refusal : plan.refusals()) {
            String what = (refusal.decomposed() ? "decomposed " : "not taken  ")
                    + refusal.node().op().getClass().getSimpleName() + ": " + String.join("; ", refusal.reasons());
            groups.computeIfAbsent(what, w -> new ArrayList<>())
                    .add(refusal.node().site());
        }
        groups.forEach((what, sites) -> line("  %s (%d times, first at %s)", what, sites.size(), sites.getFirst()));
    }

    private void line(String format, Object... values) {
        text.append(String.format(Locale.ROOT, format, values)).append('\n');
    }

    private static String mebi(long bytes) {
        return String.format(Locale.ROOT, "%.1f MiB", bytes / 1048576.0);
    }
}
