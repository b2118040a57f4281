package ai.winnow.sparsity.attention.tca;

import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.MethodProvider;

/** The door of {@link TcaAttention}. */
public final class TcaAttentionProvider implements MethodProvider {

    @Override
    public MethodInfo info() {
        return TcaAttention.INFO;
    }

    @Override
    public TcaAttention parse(MethodOptions options) {
        TcaAttention usual = TcaAttention.of(0.95f);
        int block = options.integer("block", usual.block(), 2, 1024);
        float most = Integer.numberOfTrailingZeros(Integer.highestOneBit(block));
        return new TcaAttention(
                options.number("tau", usual.tau(), 0, 1),
                options.number("mu", Math.min(usual.mu(), most), 0, most),
                options.number("sigma", usual.sigma(), 0, 16),
                block,
                options.integer("sink", usual.sink(), 0, TcaAttention.MOST),
                options.integer("window", usual.window(), 1, TcaAttention.MOST),
                options.integer("probes", usual.probes(), 1, Integer.MAX_VALUE));
    }
}
