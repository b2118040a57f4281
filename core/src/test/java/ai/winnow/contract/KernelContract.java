package ai.winnow.contract;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import ai.winnow.ir.Attention;
import ai.winnow.ir.InputSelection;
import ai.winnow.ir.Linear;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.Support;
import ai.winnow.kernel.Workers;
import ai.winnow.kernel.Workspace;
import ai.winnow.tensor.DType;
import ai.winnow.tensor.Layout;
import ai.winnow.tensor.Tensor;
import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.function.Executable;

/**
 * What every backend must keep, on every case of a catalogue and in every layout it offers. A backend's test extends this class
 * and names its provider; everything else has an answer.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class KernelContract {

    private static final long SEED = 42;
    private static final int RUNS = 3;
    private static final int CALLS_MEASURED = 50;

    private final List<Workers> workers = List.of(new Workers(1), new Workers(2), new Workers(3));
    private final DenseTwins twins = new DenseTwins(this, workers);
    private final Map<String, List<float[]>> expected = new HashMap<>();
    private final Map<String, double[]> allowed = new HashMap<>();

    protected abstract KernelProvider provider();

    /** Which cases the provider may refuse; a refusal of any other is a failure. */
    protected Predicate<OpCase> refusals() {
        return declared -> false;
    }

    /** Whether kernels must not allocate once they are compiled. */
    protected boolean assertNoAllocation() {
        return true;
    }

    /** How long a kernel may take until its calls allocate nothing. */
    protected Duration patience() {
        return Duration.ofSeconds(20);
    }

    protected List<OpCase> cases() {
        return OpCases.all();
    }

    @AfterAll
    void closeWorkers() {
        workers.forEach(Workers::close);
    }

    @TestFactory
    Stream<DynamicTest> theResultIsTheReferences() {
        return onEveryLayout(prepared -> {
            prepared.run(workers.getFirst());
            requireNothingElseWritten(prepared);
            requireClose(prepared);
        });
    }

    @TestFactory
    Stream<DynamicTest> everyRunAndAnyNumberOfThreadsGiveTheSameBits() {
        return onEveryLayout(prepared -> {
            prepared.run(workers.getFirst());
            List<byte[]> first = bits(prepared);
            for (int run = 1; run < RUNS; run++) {
                requireBits(prepared, first, workers.getFirst());
            }
            workers.forEach(threads -> requireBits(prepared, first, threads));
        });
    }

    /**
     * NaN shows where the reference shows it, and nowhere else. A zero that a sparse weight does not store may skip its input or
     * not: there NaN must show only in outputs that have a weight for it.
     */
    @TestFactory
    Stream<DynamicTest> nanInTheFirstInputIsNeverDropped() {
        return cases().stream()
                .filter(declared -> declared.operands().getFirst().spec().dtype() == DType.F32)
                .flatMap(declared -> onLayoutsOf(declared, (supported, layouts) -> {
                    try (Arena arena = Arena.ofShared()) {
                        List<Tensor> inputs = declared.inputs(SEED, arena);
                        long count = declared.rows(inputs.getFirst().spec())
                                * inputs.getFirst().shape().rowElements();
                        for (long at : new long[] {0, count / 2, count - 1}) {
                            DType.F32.setFloat(inputs.getFirst().segment(), at, Float.NaN);
                        }
                        PreparedCase prepared = PreparedCase.of(declared, supported, layouts, inputs, arena);
                        prepared.run(workers.getFirst());
                        List<float[]> reference =
                                expected.computeIfAbsent("NaN in " + key(prepared), key -> reference(prepared));
                        if (layouts.stream().anyMatch(Layout.Sparse.class::isInstance)) {
                            requireNaNsOfStoredWeights(prepared, reference.getFirst());
                        } else {
                            requireSameNaNs(prepared, reference);
                        }
                    }
                }));
    }

    /** Tagged, because it wants a JVM in which nothing else has run and compilers do not race. */
    @Tag("allocation")
    @TestFactory
    Stream<DynamicTest> nothingIsAllocatedAfterWarmUp() {
        return assertNoAllocation() ? onEveryLayout(this::requireNoAllocation) : Stream.empty();
    }

    @TestFactory
    Stream<DynamicTest> zeroStrengthEqualsDense() {
        return cases().stream()
                .filter(declared -> declared.op() instanceof Linear)
                .flatMap(dense -> {
                    int in = Math.toIntExact(
                            dense.operands().get(1).spec().shape().max(1));
                    return Stream.of(
                                    new InputSelection.Threshold(0),
                                    new InputSelection.ChannelThreshold(),
                                    new InputSelection.TopK(in),
                                    new InputSelection.WeightedTopK(in))
                            .map(selection -> test(
                                    selection + " of " + dense, () -> twins.requireZeroStrengthSame(dense, selection)));
                });
    }

    @TestFactory
    Stream<DynamicTest> aMaskOfOnesEqualsDense() {
        return cases().stream()
                .filter(declared -> declared.op() instanceof Linear)
                .map(dense -> test(dense.name(), () -> twins.requireFullMaskSame(dense)));
    }

    @TestFactory
    Stream<DynamicTest> listsOfAllKeysEqualDense() {
        return cases().stream()
                .filter(declared -> declared.op() instanceof Attention)
                .map(dense -> test(dense.name(), () -> twins.requireAllKeysSame(dense)));
    }

    final Support ask(OpCase declared) {
        return provider().kernelFor(declared.request());
    }

    /** A test whose failure says the case: not every report shows display names. */
    private static DynamicTest test(String name, Executable body) {
        return DynamicTest.dynamicTest(name, () -> {
            try {
                body.execute();
            } catch (AssertionError | RuntimeException e) {
                throw new AssertionError(name + ", seed " + SEED + ": " + e.getMessage(), e);
            }
        });
    }

    private interface LayoutCheck {
        void check(Support.Supported supported, List<Layout> layouts);
    }

    private interface PreparedCheck {
        void check(PreparedCase prepared);
    }

    private Stream<DynamicTest> onEveryLayout(PreparedCheck check) {
        return cases().stream()
                .flatMap(declared -> onLayoutsOf(declared, (supported, layouts) -> {
                    try (Arena arena = Arena.ofShared()) {
                        check.check(PreparedCase.of(declared, supported, layouts, SEED, arena));
                    }
                }));
    }

    private Stream<DynamicTest> onLayoutsOf(OpCase declared, LayoutCheck check) {
        return switch (ask(declared)) {
            case Support.Supported supported ->
                PreparedCase.layouts(declared, supported).stream()
                        .map(layouts -> test(declared + " " + layouts, () -> check.check(supported, layouts)));
            case Support.Refused refused ->
                refusals().test(declared)
                        ? Stream.empty()
                        : Stream.of(test(
                                declared.name(),
                                () -> fail("%s refuses %s: %s", provider().name(), declared, refused.reason())));
        };
    }

    /** One reference serves all layouts, but int8 and int4 weights mean other numbers where, and as, the layout keeps scales. */
    private static String key(PreparedCase prepared) {
        StringBuilder key = new StringBuilder(prepared.declared().toString());
        for (Tensor tensor : prepared.inputs()) {
            switch (tensor.layout()) {
                case Layout.Dense _, Layout.Sparse _ -> {} // the same numbers
                case Layout.ScaledRows _ -> key.append(" scaled");
                case Layout.ScaledGroups groups -> key.append(' ').append(groups);
            }
        }
        return key.toString();
    }

    /** The reference's outputs, then the state it leaves. */
    private static List<float[]> reference(PreparedCase prepared) {
        OpCase declared = prepared.declared();
        try (Arena arena = Arena.ofConfined()) {
            List<Tensor> results =
                    new ArrayList<>(declared.reading().of(declared.reference(prepared.meant(), arena), arena));
            results.addAll(PreparedCase.state(declared, prepared.meant()));
            return results.stream().map(Tensor::toFloats).toList();
        }
    }

    private void requireClose(PreparedCase prepared) {
        List<float[]> reference = expected.computeIfAbsent(key(prepared), key -> reference(prepared));
        double[] bounds = allowed.computeIfAbsent(key(prepared), key -> prepared.declared()
                .tolerance()
                .bounds(prepared.declared(), prepared.meant(), reference.getFirst()));
        List<Tensor> found = prepared.results();
        int states = PreparedCase.state(prepared.declared(), prepared.inputs()).size();
        for (int i = 0; i < found.size(); i++) {
            float[] wanted = reference.get(i);
            for (int at = 0; at < wanted.length; at++) {
                float value = found.get(i).getFloat(at);
                double bound = i == 0 ? bounds[at] : 0;
                boolean close = i >= found.size() - states
                        ? Float.floatToRawIntBits(value) == Float.floatToRawIntBits(wanted[at]) // state
                        : value == wanted[at] || Math.abs((double) value - wanted[at]) <= bound;
                if (!close) {
                    fail("result %d, element %d is %s, expected %s ± %s", i, at, value, wanted[at], bound);
                }
            }
        }
    }

    private static void requireNothingElseWritten(PreparedCase prepared) {
        for (PreparedCase.Guarded output : prepared.outputs()) {
            OptionalLong written = output.firstWrittenOutside(
                    prepared.declared().rows(output.tensor().spec()));
            assertThat(written)
                    .as("first byte written outside of %s", output.tensor().spec())
                    .isEmpty();
        }
        try (Arena arena = Arena.ofConfined()) {
            List<Tensor> before = prepared.declared().inputs(SEED, arena);
            for (int i = 0; i < before.size(); i++) {
                if (prepared.declared().operands().get(i).kind() == OpCase.Kind.ACTIVATION) {
                    MemorySegment now = prepared.inputs().get(i).segment();
                    assertThat(now.mismatch(before.get(i).segment()))
                            .as("first byte of input %d that was written", i)
                            .isEqualTo(-1);
                }
            }
        }
    }

    private static void requireSameNaNs(PreparedCase prepared, List<float[]> reference) {
        List<Tensor> found = prepared.results();
        for (int i = 0; i < found.size(); i++) {
            float[] wanted = reference.get(i);
            for (int at = 0; at < wanted.length; at++) {
                float value = found.get(i).getFloat(at);
                if (Float.isNaN(value) != Float.isNaN(wanted[at])) {
                    fail("result %d, element %d is %s, expected %s", i, at, value, wanted[at]);
                }
            }
        }
    }

    /** @param reference NaN where any input is */
    private static void requireNaNsOfStoredWeights(PreparedCase prepared, float[] reference) {
        Tensor x = prepared.meant().get(0);
        Tensor weight = prepared.meant().get(1);
        int in = Math.toIntExact(weight.shape().max(1));
        int out = Math.toIntExact(weight.shape().max(0));
        for (int at = 0; at < reference.length; at++) {
            boolean meets = false;
            for (int k = 0; k < in; k++) {
                meets |= weight.getFloat((long) at % out * in + k) != 0
                        && Float.isNaN(x.getFloat((long) at / out * in + k));
            }
            boolean found = Float.isNaN(prepared.results().getFirst().getFloat(at));
            if (found ? !Float.isNaN(reference[at]) : meets) {
                fail("element %d %s NaN", at, found ? "is" : "has a weight for an input of NaN but is not");
            }
        }
    }

    static List<byte[]> bits(PreparedCase prepared) {
        List<byte[]> bits = new ArrayList<>();
        for (Tensor tensor : prepared.results()) {
            bits.add(tensor.segment().toArray(ValueLayout.JAVA_BYTE));
        }
        return bits;
    }

    private static void requireBits(PreparedCase prepared, List<byte[]> wanted, Workers threads) {
        prepared.outputs().forEach(PreparedCase.Guarded::clear);
        prepared.run(threads);
        assertThat(bits(prepared)).as("with %d threads", threads.threads()).containsExactlyElementsOf(wanted);
    }

    /** Some batch of calls allocates nothing, soon: before it is compiled, vector code allocates at every step. */
    private void requireNoAllocation(PreparedCase prepared) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        Workers.Lease lease = workers.getFirst().lease();
        Workspace workspace = new Workspace(prepared.scratch(), lease);
        long deadline = System.nanoTime() + patience().toNanos();
        long allocated;
        do {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int call = 0; call < CALLS_MEASURED; call++) {
                prepared.kernel().run(prepared.operands(), workspace);
            }
            allocated = threads.getCurrentThreadAllocatedBytes() - before;
        } while (allocated > 0 && System.nanoTime() < deadline);
        workers.getFirst().release(lease);
        assertThat(allocated / CALLS_MEASURED).as("bytes allocated by a call").isZero();
    }
}
