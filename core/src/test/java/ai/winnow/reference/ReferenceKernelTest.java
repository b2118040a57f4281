package ai.winnow.reference;

import ai.winnow.contract.KernelContract;
import ai.winnow.contract.OpCase;
import ai.winnow.ir.Fused;
import ai.winnow.kernel.KernelProvider;
import java.util.List;
import java.util.function.Predicate;

/** The reference keeps the contract that it judges others by. */
class ReferenceKernelTest extends KernelContract {

    @Override
    protected KernelProvider provider() {
        return new ReferenceProvider();
    }

    @Override
    protected Predicate<OpCase> refusals() {
        return declared -> declared.op() instanceof Fused.Composite;
    }

    @Override
    protected boolean assertNoAllocation() {
        return false;
    }

    /** It knows no tiles and no threads. */
    @Override
    protected List<OpCase> cases() {
        return super.cases().stream()
                .filter(declared -> !declared.isWorthThreads())
                .toList();
    }
}
