import org.jspecify.annotations.NullMarked;

/** Kernels for NVIDIA GPUs. */
@NullMarked
module ai.winnow.kernels.cuda {
    requires transitive ai.winnow.core;
}
