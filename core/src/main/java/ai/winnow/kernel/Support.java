package ai.winnow.kernel;

import ai.winnow.tensor.Layout;
import java.util.List;
import java.util.Map;

/** A backend's answer to a {@link KernelRequest}. */
public sealed interface Support {

    /**
     * Yes.
     *
     * @param layouts for an input that is a weight, by its index, the layouts the kernel reads, best first; an input that is
     *     absent is read row-major
     * @param factory makes the kernel once the planner has fixed the layouts
     * @param note why the layouts are in that order, for {@code explain()}; empty where it goes without saying
     */
    record Supported(Map<Integer, List<Layout>> layouts, Factory factory, String note) implements Support {
        public Supported {
            layouts = Map.copyOf(layouts);
        }

        public Supported(Map<Integer, List<Layout>> layouts, Factory factory) {
            this(layouts, factory, "");
        }

        /** The layouts read for input {@code index}, best first. */
        public List<Layout> layouts(int index) {
            return layouts.getOrDefault(index, List.of(Layout.ROW_MAJOR));
        }
    }

    /** No, with the reason as a sentence for {@code explain()}. */
    record Refused(String reason) implements Support {}

    /** Makes a kernel for fixed layouts. */
    @FunctionalInterface
    interface Factory {
        /** @param layouts the layout of each input */
        Kernel create(List<Layout> layouts);
    }

    /** Support for a kernel that reads everything row-major. */
    static Support of(Kernel kernel) {
        return new Supported(Map.of(), layouts -> kernel);
    }
}
