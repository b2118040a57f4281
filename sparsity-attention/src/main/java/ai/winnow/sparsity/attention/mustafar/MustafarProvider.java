package ai.winnow.sparsity.attention.mustafar;

import ai.winnow.ir.KvPacking;
import ai.winnow.method.MethodInfo;
import ai.winnow.method.MethodOptions;
import ai.winnow.method.MethodProvider;

/** The door of {@link Mustafar}. */
public final class MustafarProvider implements MethodProvider {

    @Override
    public MethodInfo info() {
        return Mustafar.INFO;
    }

    @Override
    public Mustafar parse(MethodOptions options) {
        return new Mustafar(
                options.sparsity("keys", Mustafar.PUBLISHED),
                options.sparsity("values", Mustafar.PUBLISHED),
                options.integer("residual", Mustafar.RESIDUAL, 0, Integer.MAX_VALUE),
                options.integer("unit", KvPacking.UNIT, 1, Integer.MAX_VALUE));
    }
}
