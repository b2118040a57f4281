package ai.winnow.sparsity.activation.wina;

import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.sparsity.activation.Allocation;
import ai.winnow.sparsity.activation.Mode;
import java.util.List;
import org.junit.jupiter.api.Nested;

class WinaTest {

    abstract static class Contract extends SparsityMethodContract {
        abstract Wina at(float sparsity);

        @Override
        protected MethodProvider provider() {
            return new WinaProvider();
        }

        @Override
        protected SparsityMethod zero() {
            return at(0);
        }

        @Override
        protected List<SparsityMethod> ladder() {
            return List.of(at(0.25f), at(0.5f), at(0.8f));
        }
    }

    @Nested
    class Rotated extends Contract {
        @Override
        Wina at(float sparsity) {
            return Wina.of(sparsity);
        }
    }

    @Nested
    class RotatedThreshold extends Contract {
        @Override
        Wina at(float sparsity) {
            return Wina.threshold(sparsity);
        }
    }

    @Nested
    class Unrotated extends Contract {
        @Override
        Wina at(float sparsity) {
            return Wina.topK(sparsity).unrotated();
        }
    }

    @Nested
    class UnrotatedThresholdAllNorms extends Contract {
        @Override
        Wina at(float sparsity) {
            return new Wina(sparsity, Mode.THRESHOLD, Norms.ALL, false, Allocation.UNIFORM);
        }
    }
}
