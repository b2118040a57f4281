package ai.winnow.kernels.simd;

import ai.winnow.contract.KernelContract;
import ai.winnow.contract.OpCase;
import ai.winnow.kernel.KernelProvider;
import java.util.List;

/** Every op but linear layers, at every vector width the build runs tests with. */
class SimdKernelTest extends KernelContract {

    @Override
    protected KernelProvider provider() {
        return new SimdProvider();
    }

    /** {@link SimdLinearTest} takes as long as everything else, and runs beside it. */
    @Override
    protected List<OpCase> cases() {
        return super.cases().stream()
                .filter(declared -> !SimdLinearTest.takes(declared))
                .toList();
    }
}
