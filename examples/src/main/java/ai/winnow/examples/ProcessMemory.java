package ai.winnow.examples;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/** The memory of this process and of the machine, as Linux tells it; elsewhere nothing is known. */
final class ProcessMemory {

    private ProcessMemory() {}

    /** Bytes of this process that are in memory now. */
    static OptionalLong resident() {
        return field(Path.of("/proc/self/status"), "VmRSS:");
    }

    /** The most bytes that this process ever had in memory. */
    static OptionalLong peak() {
        return field(Path.of("/proc/self/status"), "VmHWM:");
    }

    /** Bytes that are free for a new process, the limit of a container counted where there is one. */
    static OptionalLong available() {
        OptionalLong machine = field(Path.of("/proc/meminfo"), "MemAvailable:");
        long container = java.lang.management.ManagementFactory.getOperatingSystemMXBean()
                        instanceof com.sun.management.OperatingSystemMXBean system
                ? system.getTotalMemorySize()
                : Long.MAX_VALUE;
        return machine.isEmpty() ? machine : OptionalLong.of(Math.min(machine.getAsLong(), container));
    }

    /** What a message says: {@code 2.47 GB}, or {@code unknown}. */
    static String text(OptionalLong bytes) {
        return bytes.isEmpty() ? "unknown" : String.format(java.util.Locale.ROOT, "%.2f GB", bytes.getAsLong() / 1e9);
    }

    private static OptionalLong field(Path file, String name) {
        try {
            for (String line : Files.readAllLines(file)) {
                if (line.startsWith(name)) {
                    String kibibytes =
                            line.substring(name.length()).replace("kB", "").strip();
                    return OptionalLong.of(1024 * Long.parseLong(kibibytes));
                }
            }
        } catch (IOException e) {
            // Not Linux: the caller says "unknown".
        }
        return OptionalLong.empty();
    }
}
