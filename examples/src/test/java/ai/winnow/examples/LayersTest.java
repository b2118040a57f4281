package ai.winnow.examples;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

import ai.winnow.method.MethodProvider;
import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaCodeUnit;
import com.tngtech.archunit.core.domain.JavaField;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Who may know whom: between the packages of core, and between the modules. */
class LayersTest {

    /** The packages of core from the bottom to the top; each may know those before it. */
    private static final List<String> CORE_PACKAGES = List.of(
            "tensor",
            "io",
            "ir",
            "kernel",
            "reference",
            "architecture",
            "method",
            "kv",
            "runtime",
            "calibrate",
            "decode",
            "djl");

    /** Names of model families, none of which a method or a kernel may know. */
    private static final Set<String> FAMILIES = Set.of(
            "llama",
            "qwen",
            "mistral",
            "mixtral",
            "gemma",
            "bert",
            "roberta",
            "vit",
            "gpt",
            "opt",
            "phi",
            "falcon",
            "deepseek",
            "whisper");

    private static final JavaClasses CORE = Modules.imported(Modules.CORE);
    private static final JavaClasses LIBRARY = Modules.imported(Modules.LIBRARY);

    @SuppressWarnings("unused") // @FieldSource reads it
    private static final List<String> LIBRARY_MODULES = Modules.LIBRARY;

    @Test
    void everyPackageOfCoreHasItsLayer() {
        Set<String> found = new TreeSet<>();
        for (JavaClass each : CORE) {
            String name = each.getPackageName();
            found.add(name.startsWith("ai.winnow.") ? name.substring("ai.winnow.".length()) : "");
        }
        found.remove("");
        assertThat(CORE_PACKAGES).containsAll(found);
    }

    static Stream<String> corePackages() {
        return CORE_PACKAGES.stream();
    }

    @ParameterizedTest
    @MethodSource("corePackages")
    void aPackageOfCoreKnowsOnlyThoseBelow(String name) {
        String[] above = CORE_PACKAGES.subList(CORE_PACKAGES.indexOf(name) + 1, CORE_PACKAGES.size()).stream()
                .map(other -> "ai.winnow." + other + "..")
                .toArray(String[]::new);
        noClasses()
                .that()
                .resideInAPackage("ai.winnow." + name + "..")
                .should()
                .dependOnClassesThat(resideInAnyPackage(above))
                .allowEmptyShould(true)
                .check(CORE);
    }

    @Test
    void theErrorsOfCoreKnowNoPackage() {
        noClasses()
                .that()
                .resideInAPackage("ai.winnow")
                .should()
                .dependOnClassesThat(resideInAPackage("ai.winnow.*.."))
                .check(CORE);
    }

    @Test
    void coreKnowsNothingOutsideButWhatItNamesInItsPom() {
        classes()
                .should()
                .onlyDependOnClassesThat(
                        resideInAnyPackage("java..", "jdk.jfr..", "org.jspecify..", "org.slf4j..", "com.google.gson..")
                                .or(resideInAPackage("ai.djl.."))
                                .or(classesOf(Modules.CORE)))
                .check(CORE);
    }

    @ParameterizedTest
    @FieldSource("LIBRARY_MODULES")
    void aModuleKnowsNoOtherButCore(String module) {
        List<String> others = new ArrayList<>(Modules.LIBRARY);
        others.removeAll(List.of(module, Modules.CORE));
        noClasses()
                .should()
                .dependOnClassesThat(classesOf(others.toArray(String[]::new)))
                .allowEmptyShould(true)
                .check(Modules.imported(module));
    }

    @Test
    void kernelsKnowNoMethod() {
        noClasses()
                .should()
                .dependOnClassesThat(resideInAPackage("ai.winnow.method.."))
                .allowEmptyShould(true)
                .check(Modules.imported(List.of(Modules.SIMD, Modules.CUDA)));
    }

    @Test
    void methodsKnowNoOtherMethod() {
        JavaClasses methods = Modules.imported(Modules.METHODS);
        Set<String> homes = methods.stream()
                .filter(each -> each.isAssignableTo(MethodProvider.class))
                .map(JavaClass::getPackageName)
                .collect(Collectors.toSet());
        for (String home : homes) {
            String[] others =
                    homes.stream().filter(other -> !other.equals(home)).toArray(String[]::new);
            noClasses()
                    .that()
                    .resideInAPackage(home)
                    .should()
                    .dependOnClassesThat(resideInAnyPackage(others))
                    .check(methods);
        }
    }

    @Test
    void methodsKnowNoBackend() {
        noClasses()
                .should()
                .dependOnClassesThat(resideInAnyPackage("ai.winnow.kernels..", "ai.winnow.reference.."))
                .allowEmptyShould(true)
                .check(Modules.imported(Modules.METHODS));
    }

    @Test
    void onlyTheSimdModuleKnowsVectors() {
        onlyIn("jdk.incubator.vector..", classesOf(Modules.SIMD));
    }

    @Test
    void onlyTheCudaModuleKnowsJavaCpp() {
        onlyIn("org.bytedeco..", classesOf(Modules.CUDA));
    }

    @Test
    void onlyTheBridgeKnowsDjl() {
        onlyIn("ai.djl..", resideInAPackage("ai.winnow.djl.."));
    }

    @Test
    void noModelFamilyIsNamedOutsideItsPackage() {
        List<String> named = new ArrayList<>();
        for (JavaClass each : LIBRARY) {
            if (each.getPackageName().startsWith("ai.winnow.architecture")) {
                continue;
            }
            Stream<String> members = Stream.concat(
                            each.getFields().stream().map(JavaField::getName),
                            each.getCodeUnits().stream().map(JavaCodeUnit::getName))
                    .filter(name -> !name.contains("$"));
            Stream.concat(Stream.of(each.getName()), members)
                    .filter(LayersTest::namesAFamily)
                    .forEach(name -> named.add(each.getName() + ": " + name));
        }
        assertThat(named).isEmpty();
    }

    @Test
    void theNamesOfFamiliesAreRecognised() {
        assertThat(namesAFamily("LlamaLayer")).isTrue();
        assertThat(namesAFamily("isQwen2")).isTrue();
        assertThat(namesAFamily("BERT_HEADS")).isTrue();
        assertThat(namesAFamily("bertha")).isFalse();
    }

    private static boolean namesAFamily(String name) {
        return Arrays.stream(name.split("[^A-Za-z]+|(?<=[a-z])(?=[A-Z])"))
                .anyMatch(word -> FAMILIES.contains(word.toLowerCase(Locale.ROOT)));
    }

    private static void onlyIn(String secret, DescribedPredicate<JavaClass> home) {
        noClasses()
                .that(not(home))
                .should()
                .dependOnClassesThat(resideInAPackage(secret))
                .check(LIBRARY);
    }

    /** Classes whose file lies in one of {@code modules}. */
    private static DescribedPredicate<JavaClass> classesOf(String... modules) {
        List<String> folders = Arrays.stream(modules)
                .map(module -> Modules.classes(module).toUri().toString())
                .toList();
        return describe("classes of " + String.join(", ", modules), each -> each.getBaseComponentType()
                .getSource()
                .map(source -> folders.stream()
                        .anyMatch(folder -> path(source.getUri().toString()).startsWith(path(folder))))
                .orElse(false));
    }

    /** A file's URI may be written with one slash or three. */
    private static String path(String uri) {
        return uri.replaceFirst("^file:/+", "/");
    }
}
