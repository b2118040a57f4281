package ai.winnow.kernels.simd;

import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.KernelRequest;
import ai.winnow.kernel.Support;

/**
 * Kernels on the JDK's Vector API. This class touches none of it itself, so that it loads where the module {@code
 * jdk.incubator.vector} is missing and can say so.
 */
public final class SimdProvider implements KernelProvider {

    @Override
    public String name() {
        return "simd";
    }

    @Override
    public int rank() {
        return 100;
    }

    @Override
    public Availability probe() {
        if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
            return new Availability.Missing(
                    "the JDK's Vector API is not there: start the JVM with" + " --add-modules jdk.incubator.vector");
        }
        return Machine.probe();
    }

    @Override
    public Support kernelFor(KernelRequest request) {
        return Offers.of(request);
    }
}
