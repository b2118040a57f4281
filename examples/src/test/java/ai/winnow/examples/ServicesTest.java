package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.kernel.KernelProvider;
import ai.winnow.method.MethodProvider;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaModifier;
import java.io.IOException;
import java.lang.module.ModuleDescriptor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** What a module offers must be found on the module path and on the class path alike. */
class ServicesTest {

    @SuppressWarnings("unused") // @FieldSource reads it
    private static final List<String> LIBRARY_MODULES = Modules.LIBRARY;

    @ParameterizedTest
    @FieldSource("LIBRARY_MODULES")
    void providesEqualsTheServiceFiles(String module) throws IOException {
        assertThat(serviceFiles(module)).isEqualTo(provided(module));
    }

    @ParameterizedTest
    @FieldSource("LIBRARY_MODULES")
    void everyProviderIsProvided(String module) {
        Map<String, Set<String>> provided = provided(module);
        for (Class<?> service : List.of(KernelProvider.class, MethodProvider.class)) {
            Set<String> found = Modules.imported(module).stream()
                    .filter(each -> each.isAssignableTo(service))
                    .filter(each -> !each.isInterface() && !each.getModifiers().contains(JavaModifier.ABSTRACT))
                    // The reference is always the last resort and is never looked for.
                    .filter(each -> !each.getPackageName().equals("ai.winnow.reference"))
                    .map(JavaClass::getName)
                    .collect(Collectors.toCollection(TreeSet::new));
            assertThat(provided.getOrDefault(service.getName(), Set.of())).isEqualTo(found);
        }
    }

    private static Map<String, Set<String>> provided(String module) {
        Map<String, Set<String>> provided = new TreeMap<>();
        for (ModuleDescriptor.Provides provides : Modules.descriptor(module).provides()) {
            provided.put(provides.service(), new TreeSet<>(provides.providers()));
        }
        return provided;
    }

    private static Map<String, Set<String>> serviceFiles(String module) throws IOException {
        Map<String, Set<String>> services = new TreeMap<>();
        Path folder = Modules.classes(module).resolve("META-INF/services");
        if (Files.exists(folder)) {
            try (Stream<Path> files = Files.list(folder)) {
                for (Path file : files.toList()) {
                    services.put(
                            file.getFileName().toString(),
                            Files.readAllLines(file).stream()
                                    .map(line -> line.replaceFirst("#.*", "").strip())
                                    .filter(line -> !line.isEmpty())
                                    .collect(Collectors.toCollection(TreeSet::new)));
                }
            }
        }
        return services;
    }
}
