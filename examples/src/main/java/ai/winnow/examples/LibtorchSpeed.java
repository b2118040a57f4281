package ai.winnow.examples;

import ai.winnow.tensor.DType;
import java.util.List;

/** Times {@link LibtorchLlama} on a model of random weights. */
record LibtorchSpeed(ModelShape shape, long seed, SpeedRun run, Progress progress) {

    Measured measure(ModelShape measured) {
        int layers = measured.layers();
        progress.say(
                "libtorch: loading %d of %d layers in f32 (%.1f GB)",
                layers, shape.layers(), measured.bytes(DType.F32) / 1e9);
        RandomWeights weights = new RandomWeights(measured.tensors(DType.BF16), seed);
        int positions = run.prompt().length + run.newTokens();
        try (LibtorchLlama model = new LibtorchLlama(measured.config(), weights, run.threads(), positions)) {
            model.choices().forEach((layer, choice) -> progress.say("libtorch: fastest for %-15s %s", layer, choice));
            progress.say("libtorch: prompts of %d tokens, then %d tokens", run.prompt().length, run.newTokens());
            Subject subject = new Subject(model);
            SpeedRun.Times times = run.time(List.of(subject)).getFirst();
            double head = subject.headNanos / subject.steps;
            double tokenNanos = scaled(times.token(), head, layers);
            Speed speed = new Speed(
                    "libtorch",
                    "dense",
                    WinnowSpeed.name(DType.F32),
                    run.threads(),
                    run.prompt().length / scaled(times.prefill(), head, layers) * 1e9,
                    1e9 / tokenNanos,
                    layers);
            return new Measured(speed, tokenNanos, head, shape.bytes(DType.F32), 0);
        }
    }

    private double scaled(double nanos, double head, int layers) {
        return (nanos - head) * shape.layers() / layers + head;
    }

    private static final class Subject implements SpeedRun.Subject {
        private final LibtorchLlama model;
        private double headNanos;
        private int steps;

        Subject(LibtorchLlama model) {
            this.model = model;
        }

        @Override
        public int prefill(int[] prompt) {
            model.reset();
            return argMax(model.run(prompt));
        }

        @Override
        public int decode(int token) {
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
