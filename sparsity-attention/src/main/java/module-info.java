import org.jspecify.annotations.NullMarked;

/** Methods that attend to fewer keys. */
@NullMarked
module ai.winnow.sparsity.attention {
    requires transitive ai.winnow.core;
}
