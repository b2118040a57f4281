package ai.winnow;

import java.util.Locale;
import java.util.Optional;

/** The only place that reads the environment. Winnow sets no system property and keeps none of these. */
public final class Settings {

    private Settings() {}

    /** Whether this is Linux on a 64-bit machine. */
    public static boolean isLinux64() {
        return property("os.name").equals("linux")
                && property("sun.arch.data.model").equals("64");
    }

    /** Whether this is an x86 processor of 64 bits. */
    public static boolean isX86() {
        String arch = property("os.arch");
        return arch.equals("amd64") || arch.equals("x86_64");
    }

    /**
     * Why this JVM will not compile vector operations to vector instructions, if it says so itself: it only interprets, or it
     * compiles with C1 alone. A measurement could not tell a slow compiler from a busy machine.
     */
    public static Optional<String> missingCompiler() {
        String info = property("java.vm.info");
        if (info.contains("interpreted mode")) {
            return Optional.of("this JVM only interprets (-Xint is set); remove the flag");
        }
        if (info.contains("emulated-client")) {
            return Optional.of(
                    "this JVM compiles without C2 (-XX:TieredStopAtLevel=1 or -client is set); remove the flag");
        }
        return Optional.empty();
    }

    private static String property(String name) {
        return System.getProperty(name, "").toLowerCase(Locale.ROOT);
    }
}
