package ai.winnow.sparsity.attention.doublesparsity;

import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.MethodProvider;
import ai.winnow.sparsity.attention.doublesparsity.DoubleSparsity.Ranking;
import ai.winnow.tensor.DType;

/** The door of {@link DoubleSparsity}. */
public final class DoubleSparsityProvider implements MethodProvider {

    @Override
    public MethodInfo info() {
        return DoubleSparsity.INFO;
    }

    @Override
    public DoubleSparsity parse(MethodOptions options) {
        return new DoubleSparsity(
                options.integer("budget", 1024, 1, Integer.MAX_VALUE),
                options.integer("factor", 16, 1, 1 << 16),
                options.choice("rank", Ranking.Q),
                options.integer("dense", 2, 0, 1 << 16),
                options.integer("from", 2048, 0, Integer.MAX_VALUE),
                options.flag("per-head", true),
                options.choice("labels", DType.BF16));
    }
}
