package ai.winnow.examples;

import ai.winnow.ir.Phase;
import ai.winnow.method.SparsityPolicy;
import ai.winnow.runtime.Backends;
import ai.winnow.runtime.Batch;
import ai.winnow.runtime.ModelOptions;
import ai.winnow.runtime.SequenceId;
import ai.winnow.runtime.Session;
import ai.winnow.runtime.SparseModel;
import ai.winnow.tensor.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Times Winnow on a model of random weights. */
record WinnowSpeed(ModelShape shape, long seed, SpeedRun run, Progress progress) {

    /** Tokens to look at for the head's time and the bytes read. */
    private static final int OBSERVED_TOKENS = 9;

    /** The dense model with its weights kept as {@code dtype}; the caller closes it. */
    SparseModel load(ModelShape loaded, DType dtype) {
        progress.say(
                "winnow: loading %d of %d layers in %s (%.1f GB), and compiling kernels",
                loaded.layers(), shape.layers(), name(dtype), loaded.bytes(dtype) / 1e9);
        ModelOptions options = ModelOptions.defaults()
                .withWeightType(dtype)
                .withThreads(run.threads())
                .withContextLength(run.prompt().length + run.newTokens() + OBSERVED_TOKENS)
                .withMaxSequences(1)
                .withMaxStepTokens(run.prompt().length);
        return SparseModel.of(
                loaded.config(),
                new RandomWeights(loaded.tensors(DType.BF16), seed),
                SparsityPolicy.dense(),
                options,
                Backends.discover());
    }

    /** Measures models that share their weights, side by side. */
    List<Measured> measure(List<SparseModel> models, DType dtype) {
        progress.say(
                "winnow: %s: %s",
                name(dtype),
                models.stream().map(model -> model.policy().toString()).collect(Collectors.joining(" and ")));
        List<Subject> subjects = new ArrayList<>();
        try {
            models.forEach(model -> subjects.add(new Subject(model.newSession())));
            List<SpeedRun.Times> times = run.time(subjects);
            List<Measured> measured = new ArrayList<>();
            for (int i = 0; i < models.size(); i++) {
                measured.add(measured(subjects.get(i), times.get(i), dtype));
            }
            return measured;
        } finally {
            subjects.forEach(subject -> subject.session.close());
        }
    }

    private Measured measured(Subject subject, SpeedRun.Times times, DType dtype) {
        SparseModel model = subject.session.model();
        HeadObserver observer = new HeadObserver(model);
        subject.session.observe(observer);
        int token = 0;
        for (int i = 0; i < OBSERVED_TOKENS; i++) {
            token = subject.decode(token);
        }
        subject.session.observe(null);
        int layers = model.definition().dimensions().numHiddenLayers();
        double head = observer.medianNanos();
        double scale = (double) shape.layers() / layers;
        double tokenNanos = (times.token() - head) * scale + head;
        double prefillNanos = (times.prefill() - head) * scale + head;
        Speed speed = new Speed(
                "winnow",
                model.policy().toString(),
                name(dtype),
                run.threads(),
                run.prompt().length / prefillNanos * 1e9,
                1e9 / tokenNanos,
                layers);
        double bytes = (observer.bytes() - observer.headBytes()) * scale + observer.headBytes();
        return new Measured(speed, tokenNanos, head, bytes, observer.headBytes());
    }

    static String name(DType dtype) {
        return dtype.name().toLowerCase(Locale.ROOT);
    }

    private static final class Subject implements SpeedRun.Subject {
        private final Session session;
        private SequenceId sequence;

        Subject(Session session) {
            this.session = session;
            this.sequence = session.open();
        }

        @Override
        public int prefill(int[] prompt) {
            session.close(sequence);
            sequence = session.open();
            return session.run(Phase.PREFILL, Batch.of(sequence, prompt)).argMax(0);
        }

        @Override
        public int decode(int token) {
            return session.run(Phase.DECODE, Batch.of(sequence, token)).argMax(0);
        }
    }
}
