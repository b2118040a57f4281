package ai.winnow.method;

/**
 * A method's door for {@code ServiceLoader}: a public class with a public no-argument constructor, named in {@code provides} and
 * in {@code META-INF/services}.
 */
public interface MethodProvider {

    MethodInfo info();

    /**
     * The method with these options.
     *
     * @throws ai.winnow.IncompatiblePolicyException naming the option that is unknown, missing or out of range
     */
    SparsityMethod parse(MethodOptions options);
}
