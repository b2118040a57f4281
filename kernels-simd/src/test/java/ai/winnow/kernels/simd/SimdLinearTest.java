package ai.winnow.kernels.simd;

import ai.winnow.contract.KernelContract;
import ai.winnow.contract.OpCase;
import ai.winnow.ir.Linear;
import ai.winnow.ir.MaskedLinear;
import ai.winnow.ir.SparseLinear;
import ai.winnow.kernel.KernelProvider;
import java.util.List;

/** Linear layers over weights of every type and layout, at every vector width the build runs tests with. */
class SimdLinearTest extends KernelContract {

    static boolean takes(OpCase declared) {
        return switch (declared.op()) {
            case Linear _, SparseLinear _, MaskedLinear _ -> true;
            default -> false;
        };
    }

    @Override
    protected KernelProvider provider() {
        return new SimdProvider();
    }

    @Override
    protected List<OpCase> cases() {
        return super.cases().stream().filter(SimdLinearTest::takes).toList();
    }
}
