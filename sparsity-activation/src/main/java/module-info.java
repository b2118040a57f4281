import ai.winnow.sparsity.activation.cats.CatsProvider;
import ai.winnow.sparsity.activation.teal.TealProvider;
import ai.winnow.sparsity.activation.wina.WinaProvider;
import org.jspecify.annotations.NullMarked;

/** Methods that skip small activations. */
@NullMarked
module ai.winnow.sparsity.activation {
    requires transitive ai.winnow.core;
    requires ejml.core;
    requires ejml.ddense;

    exports ai.winnow.sparsity.activation;
    exports ai.winnow.sparsity.activation.cats;
    exports ai.winnow.sparsity.activation.teal;
    exports ai.winnow.sparsity.activation.wina;

    provides ai.winnow.method.MethodProvider with
            CatsProvider,
            TealProvider,
            WinaProvider;
}
