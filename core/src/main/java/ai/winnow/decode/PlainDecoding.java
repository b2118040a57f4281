package ai.winnow.decode;

import java.lang.foreign.MemorySegment;

/** A token a step: sample it, run it. */
public record PlainDecoding() implements DecodeStrategy {

    @Override
    public String name() {
        return "plain";
    }

    @Override
    public TokenLoop begin(int[] prompt, Sampler sampler) {
        return new TokenLoop() {
            private int last;

            @Override
            public int accept(MemorySegment logits) {
                last = sampler.next(logits);
                return last;
            }

            @Override
            public int next() {
                return last;
            }
        };
    }
}
