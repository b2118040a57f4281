import org.jspecify.annotations.NullMarked;

/** Methods that remove weights. */
@NullMarked
module ai.winnow.sparsity.weight {
    requires transitive ai.winnow.core;
}
