package ai.winnow.examples;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.module.ModuleDescriptor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** The library's modules as the build compiled them, for tests that look at all of them. */
final class Modules {

    static final String CORE = "core";
    static final String SIMD = "kernels-simd";
    static final String CUDA = "kernels-cuda";
    static final List<String> METHODS =
            List.of("sparsity-token", "sparsity-activation", "sparsity-attention", "sparsity-weight");
    static final List<String> LIBRARY =
            Stream.concat(Stream.of(CORE, SIMD, CUDA), METHODS.stream()).toList();

    private Modules() {}

    /** Surefire runs in the folder of the module that it tests. */
    static Path root() {
        return Path.of("..").toAbsolutePath().normalize();
    }

    static Path classes(String module) {
        Path folder = root().resolve(module).resolve("target/classes");
        if (!Files.exists(folder.resolve("module-info.class"))) {
            throw new IllegalStateException(folder + " has no classes; build with 'mvn verify' from the root");
        }
        return folder;
    }

    static JavaClasses imported(String module) {
        return new ClassFileImporter().importPath(classes(module));
    }

    static JavaClasses imported(List<String> modules) {
        return new ClassFileImporter()
                .importPaths(modules.stream().map(Modules::classes).toList());
    }

    static ModuleDescriptor descriptor(String module) {
        try (InputStream in = Files.newInputStream(classes(module).resolve("module-info.class"))) {
            return ModuleDescriptor.read(in);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
