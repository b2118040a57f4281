package ai.winnow.contract;

import ai.winnow.kernel.KernelProvider;

/** The contract's own test: f32 loops as one would write them first keep it, so its bounds are not too narrow. */
class NaiveKernelTest extends KernelContract {

    @Override
    protected KernelProvider provider() {
        return new NaiveProvider();
    }

    @Override
    protected boolean assertNoAllocation() {
        return false;
    }
}
