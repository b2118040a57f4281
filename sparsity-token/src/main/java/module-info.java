import org.jspecify.annotations.NullMarked;

/** Methods that drop or merge tokens. */
@NullMarked
module ai.winnow.sparsity.token {
    requires transitive ai.winnow.core;
}
