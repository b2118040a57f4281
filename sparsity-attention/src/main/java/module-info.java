import ai.winnow.sparsity.attention.dhsa.DhsaProvider;
import ai.winnow.sparsity.attention.doublesparsity.DoubleSparsityProvider;
import ai.winnow.sparsity.attention.mustafar.MustafarProvider;
import ai.winnow.sparsity.attention.ssa.SsaProvider;
import ai.winnow.sparsity.attention.tca.TcaAttentionProvider;
import ai.winnow.sparsity.attention.tidaldecode.TidalDecodeProvider;
import org.jspecify.annotations.NullMarked;

/** Methods that attend to fewer keys, or to less of each. */
@NullMarked
module ai.winnow.sparsity.attention {
    requires transitive ai.winnow.core;

    exports ai.winnow.sparsity.attention.dhsa;
    exports ai.winnow.sparsity.attention.doublesparsity;
    exports ai.winnow.sparsity.attention.mustafar;
    exports ai.winnow.sparsity.attention.ssa;
    exports ai.winnow.sparsity.attention.tca;
    exports ai.winnow.sparsity.attention.tidaldecode;

    provides ai.winnow.method.MethodProvider with
            DhsaProvider,
            DoubleSparsityProvider,
            MustafarProvider,
            SsaProvider,
            TcaAttentionProvider,
            TidalDecodeProvider;
}
