package ai.winnow.contract;

import ai.winnow.ir.Fused;
import ai.winnow.kernel.KernelProvider;
import java.util.List;

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

    /** What it leaves to the reference is that one's test; sizes that are there for tiles and threads would only cost time. */
    @Override
    protected List<OpCase> cases() {
        return super.cases().stream()
                .filter(declared -> declared.op() instanceof Fused.Composite && !declared.isWorthThreads())
                .toList();
    }
}
