package ai.winnow.examples;

import ai.djl.engine.Engine;
import ai.djl.engine.EngineException;
import ai.winnow.kernel.KernelProvider;
import ai.winnow.kernel.KernelProvider.Availability;
import ai.winnow.runtime.Backends;
import com.sun.management.HotSpotDiagnosticMXBean;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.InputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** What a machine has for Winnow, and what is missing and why: one block to paste into a bug report. */
@Command(
        name = "doctor",
        mixinStandardHelpOptions = true,
        description = "Says what this machine and JVM have for Winnow, in one block to paste into a bug report.")
final class Doctor implements Callable<Integer> {

    /** Flags of the JVM that decide how fast vectors are. */
    private static final List<String> FLAGS =
            List.of("MaxVectorSize", "UseAVX", "UseFMA", "TieredCompilation", "UseTransparentHugePages", "MaxHeapSize");

    private final StringBuilder text = new StringBuilder();

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() {
        spec.commandLine().getOut().print(report());
        spec.commandLine().getOut().flush();
        return 0;
    }

    String report() {
        text.setLength(0);
        text.append("```\n");
        machine();
        jvm();
        winnow();
        djl();
        text.append("```\n");
        return text.toString();
    }

    private void machine() {
        line("system", "%s %s, %s", property("os.name"), property("os.version"), property("os.arch"));
        line("cpu", "%s", firstOf(Path.of("/proc/cpuinfo"), "model name"));
        String flags = firstOf(Path.of("/proc/cpuinfo"), "flags");
        line("vectors", "%s", vectorFlags(flags));
        // What the JVM counts is what the container allows; the machine may have more.
        line(
                "processors",
                "%d for this JVM%s",
                Runtime.getRuntime().availableProcessors(),
                limit("/sys/fs/cgroup/cpu.max", "cgroup cpu.max"));
        if (ManagementFactory.getOperatingSystemMXBean() instanceof OperatingSystemMXBean system) {
            line(
                    "memory",
                    "%s for this JVM, %s free%s",
                    gigabytes(system.getTotalMemorySize()),
                    ProcessMemory.text(ProcessMemory.available()),
                    limit("/sys/fs/cgroup/memory.max", "cgroup memory.max"));
        }
    }

    private void jvm() {
        line("jvm", "%s %s, %s", property("java.vm.name"), property("java.vm.version"), property("java.vendor"));
        line(
                "arguments",
                "%s",
                String.join(" ", ManagementFactory.getRuntimeMXBean().getInputArguments()));
        HotSpotDiagnosticMXBean hotSpot = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        if (hotSpot != null) {
            StringBuilder flags = new StringBuilder();
            for (String flag : FLAGS) {
                try {
                    flags.append(flag)
                            .append('=')
                            .append(hotSpot.getVMOption(flag).getValue())
                            .append(' ');
                } catch (IllegalArgumentException e) {
                    // This CPU's JVM has no such flag.
                }
            }
            line("flags", "%s", flags.toString().strip());
        }
    }

    private void winnow() {
        line("winnow", "%s", version());
        Backends backends = Backends.discover();
        for (KernelProvider provider : backends.ready()) {
            String detail = provider.probe() instanceof Availability.Ready ready ? ready.detail() : "";
            line("backend", "%s, rank %d: %s", provider.name(), provider.rank(), detail);
        }
        backends.missing().forEach(missing -> line("MISSING", "%s: %s", missing.name(), missing.reason()));
        TreeSet<String> methods = new TreeSet<>();
        Backends.discoverMethods()
                .forEach(provider -> methods.add(provider.info().name()));
        line("methods", "%s", methods.isEmpty() ? "none on the class path" : String.join(", ", methods));
    }

    private void djl() {
        line("djl", "%s, engines %s", Engine.getDjlVersion(), new TreeSet<>(Engine.getAllEngines()));
        try {
            Engine libtorch = Engine.getEngine("PyTorch");
            line("libtorch", "%s", libtorch.getVersion());
        } catch (EngineException | LinkageError e) {
            line("MISSING", "libtorch (only the comparison needs it): %s", causes(e));
        }
        line("tokenizers", "%s", property("native/lib/tokenizers.properties", "version", "none on the class path"));
    }

    /** What DJL says, and what it is that it wraps. */
    private static String causes(Throwable e) {
        StringBuilder text = new StringBuilder(String.valueOf(e.getMessage()));
        for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
            text.append(" <- ").append(cause);
        }
        return text.toString();
    }

    private void line(String name, String format, @Nullable Object... values) {
        text.append(String.format(Locale.ROOT, "%-11s", name))
                .append(String.format(Locale.ROOT, format, values))
                .append('\n');
    }

    private static String vectorFlags(String flags) {
        List<String> known = List.of("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "asimd", "sve");
        List<String> words = List.of(flags.split(" "));
        String found = String.join(" ", known.stream().filter(words::contains).toList());
        return found.isEmpty() ? "unknown" : found;
    }

    private static String limit(String file, String name) {
        try {
            return ", " + name + " " + Files.readString(Path.of(file)).strip();
        } catch (IOException e) {
            return "";
        }
    }

    private static String firstOf(Path file, String field) {
        try (Stream<String> lines = Files.lines(file)) {
            return lines.filter(line -> line.startsWith(field))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .findFirst()
                    .orElse("unknown");
        } catch (IOException e) {
            return "unknown";
        }
    }

    private static String version() {
        String version = Backends.class.getPackage().getImplementationVersion();
        return version == null ? "built from source" : version;
    }

    private static String property(String name) {
        return System.getProperty(name, "unknown");
    }

    private static String property(String resource, String name, String fallback) {
        try (InputStream in = Doctor.class.getResourceAsStream("/" + resource)) {
            if (in == null) {
                return fallback;
            }
            Properties properties = new Properties();
            properties.load(new java.io.InputStreamReader(in, StandardCharsets.UTF_8));
            return properties.getProperty(name, fallback);
        } catch (IOException e) {
            return fallback;
        }
    }

    private static String gigabytes(long bytes) {
        return String.format(Locale.ROOT, "%.2f GB", bytes / 1e9);
    }
}
