package ai.winnow.kernels.simd;

import ai.winnow.contract.KernelContract;
import ai.winnow.contract.OpCase;
import ai.winnow.kernel.KernelProvider;
import java.util.function.Predicate;

/** Every op of the catalogue, at every vector width the build runs tests with. */
class SimdKernelTest extends KernelContract {

    @Override
    protected KernelProvider provider() {
        return new SimdProvider();
    }

    @Override
    protected Predicate<OpCase> refusals() {
        return declared -> false;
    }
}
