package ai.winnow.kernel;

/**
 * A backend. The class that implements it has no vector or native type in its signatures, so that {@code ServiceLoader} can
 * load it where what it needs is missing, and ask.
 */
public interface KernelProvider {

    /** A short name: {@code simd}, {@code cuda}, {@code reference}. */
    String name();

    /** Who is asked first: the highest. The reference has 0. */
    int rank();

    /** Whether this machine and JVM can run the backend. Cheap, and the same each time. */
    Availability probe();

    /** Whether there is a kernel for the request; asked only if {@link #probe} said {@link Availability.Ready}. */
    Support kernelFor(KernelRequest request);

    /** Whether a backend can run here. */
    sealed interface Availability {
        /** It can; {@code detail} says on what, as {@code doctor} prints it. */
        record Ready(String detail) implements Availability {}

        /** It cannot; {@code reason} says why, and what to do about it. */
        record Missing(String reason) implements Availability {}
    }
}
