package ai.winnow.sparsity.activation.teal;

import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.contract.TinyModel;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import ai.winnow.sparsity.activation.Allocation;
import ai.winnow.sparsity.activation.Mode;
import java.util.List;
import org.junit.jupiter.api.Nested;

class TealTest {

    @Nested
    class Uniform extends SparsityMethodContract {
        @Override
        protected MethodProvider provider() {
            return new TealProvider();
        }

        @Override
        protected SparsityMethod zero() {
            return Teal.uniform(0);
        }

        @Override
        protected List<SparsityMethod> ladder() {
            return List.of(Teal.uniform(0.25f), Teal.uniform(0.5f), Teal.uniform(0.8f));
        }
    }

    @Nested
    class Greedy extends SparsityMethodContract {
        @Override
        protected MethodProvider provider() {
            return new TealProvider();
        }

        @Override
        protected SparsityMethod zero() {
            return Teal.greedy(0);
        }

        @Override
        protected List<SparsityMethod> ladder() {
            return List.of(Teal.greedy(0.6f));
        }

        /** The search runs a layer two thousand times: one model is enough. */
        @Override
        protected List<TinyModel> models() {
            return List.of(TinyModel.grouped(4));
        }
    }

    @Nested
    class TopK extends SparsityMethodContract {
        @Override
        protected MethodProvider provider() {
            return new TealProvider();
        }

        @Override
        protected SparsityMethod zero() {
            return topK(0);
        }

        @Override
        protected List<SparsityMethod> ladder() {
            return List.of(topK(0.25f), topK(0.5f), topK(0.8f));
        }

        private static SparsityMethod topK(float sparsity) {
            return new Teal(sparsity, Allocation.UNIFORM, Mode.TOPK);
        }
    }
}
