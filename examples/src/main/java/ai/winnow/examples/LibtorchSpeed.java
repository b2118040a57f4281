package ai.winnow.examples;

import ai.winnow.tensor.DType;
import java.util.List;

/** Times {@link LibtorchLlama} on a model of random weights. */
record LibtorchSpeed(ModelShape shape, long seed, SpeedRun run, Progress progress) {

    /**
     * Two rows: with the calls that DJL offers for a product, and with the products of decode cut in two by hand. They share a model
     * and its sequence, and decode in turns.
     */
    List<Measured> measure(ModelShape measured) {
        int layers = measured.layers();
        progress.say(
                "libtorch: loading %d of %d layers in f32 (%.1f GB)",
                layers, shape.layers(), measured.bytes(DType.F32) / 1e9);
        RandomWeights weights = new RandomWeights(measured.tensors(DType.BF16), seed);
        int positions = run.prompt().length + 2 * run.newTokens();
        try (LibtorchLlama model = new LibtorchLlama(measured.config(), weights, run.threads(), positions)) {
            model.choices().forEach((layer, choice) -> progress.say("libtorch: %-15s %s", layer, choice));
            progress.say("libtorch: prompts of %d tokens, then %d tokens", run.prompt().length, run.newTokens());
            List<Subject> subjects = List.of(new Subject(model, false), new Subject(model, true));
            List<SpeedRun.Times> times = run.time(subjects);
            return List.of(
                    measured(subjects.get(0), times.get(0), "dense", layers),
                    measured(subjects.get(1), times.get(1), "dense, by hand", layers));
        }
    }

    private Measured measured(Subject subject, SpeedRun.Times times, String policy, int layers) {
        double head = subject.headNanos / subject.steps;
        double tokenNanos = scaled(times.token(), head, layers);
        Speed speed = new Speed(
                "libtorch",
                policy,
                WinnowSpeed.name(DType.F32),
                run.threads(),
                run.prompt().length / scaled(times.prefill(), head, layers) * 1e9,
                1e9 / tokenNanos,
                layers);
        return new Measured(speed, tokenNanos, head, shape.bytes(DType.F32), 0);
    }

    private double scaled(double nanos, double head, int layers) {
        return (nanos - head) * shape.layers() / layers + head;
    }

    private static final class Subject implements SpeedRun.Subject {
        private final LibtorchLlama model;
        private final boolean tuned;
        private double headNanos;
        private int steps;

        Subject(LibtorchLlama model, boolean tuned) {
            this.model = model;
            this.tuned = tuned;
        }

        @Override
        public int prefill(int[] prompt) {
            model.reset();
            return argMax(model.run(prompt));
        }

        @Override
        public int decode(int token) {
            model.tune(tuned);
            long before = model.headNanos();
            int next = argMax(model.run(token));
            headNanos += model.headNanos() - before;
            steps++;
            return next;
        }

        private static int argMax(float[] logits) {
            int best = 0;
            for (int i = 1; i < logits.length; i++) {
                best = logits[i] > logits[best] ? i : best;
            }
            return best;
        }
    }
}
