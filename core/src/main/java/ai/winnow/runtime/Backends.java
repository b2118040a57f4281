package ai.winnow.runtime;

import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.KernelProvider.Availability;
import ai.winnow.method.MethodProvider;
import ai.winnow.reference.ReferenceProvider;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;

/**
 * The backends a planner may ask, the highest rank first. The reference is always the last, so that everything runs.
 *
 * @param ready those that can run here
 * @param missing those that cannot, with the reason
 */
public record Backends(List<KernelProvider> ready, List<Missing> missing) {

    /** A backend that is on the class path and cannot run here. */
    public record Missing(String name, String reason) {}

    public Backends {
        ready = List.copyOf(ready);
        missing = List.copyOf(missing);
    }

    /** Asks each of {@code providers} whether it can run here. */
    public static Backends of(List<? extends KernelProvider> providers) {
        List<KernelProvider> ready = new ArrayList<>();
        List<Missing> missing = new ArrayList<>();
        for (KernelProvider provider : providers) {
            switch (provider.probe()) {
                case Availability.Ready ignored -> ready.add(provider);
                case Availability.Missing no -> missing.add(new Missing(provider.name(), no.reason()));
            }
        }
        if (ready.stream().noneMatch(ReferenceProvider.class::isInstance)) {
            ready.add(new ReferenceProvider());
        }
        ready.sort(Comparator.comparingInt(KernelProvider::rank).reversed());
        return new Backends(ready, missing);
    }

    /** All backends on the class or module path. */
    public static Backends discover() {
        return of(ServiceLoader.load(KernelProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .toList());
    }

    /** All methods on the class or module path. */
    public static List<MethodProvider> discoverMethods() {
        return ServiceLoader.load(MethodProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .toList();
    }
}
