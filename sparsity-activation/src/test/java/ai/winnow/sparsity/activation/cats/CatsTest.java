package ai.winnow.sparsity.activation.cats;

import ai.winnow.contract.SparsityMethodContract;
import ai.winnow.method.MethodProvider;
import ai.winnow.method.SparsityMethod;
import java.util.List;

class CatsTest extends SparsityMethodContract {

    @Override
    protected MethodProvider provider() {
        return new CatsProvider();
    }

    @Override
    protected SparsityMethod zero() {
        return Cats.of(0);
    }

    @Override
    protected List<SparsityMethod> ladder() {
        return List.of(Cats.of(0.25f), Cats.of(0.5f), Cats.of(0.8f));
    }
}
