import org.jspecify.annotations.NullMarked;

/** Kernels on the Vector API: the only place of jdk.incubator.vector. */
@NullMarked
module ai.winnow.kernels.simd {
    requires transitive ai.winnow.core;
    requires jdk.incubator.vector;

    exports ai.winnow.kernels.simd.limits;

    provides ai.winnow.kernel.KernelProvider with
            ai.winnow.kernels.simd.SimdProvider;
}
