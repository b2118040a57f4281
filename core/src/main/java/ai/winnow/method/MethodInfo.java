package ai.winnow.method;

/**
 * What {@code explain()}, the docs and error messages say of a method.
 *
 * @param name as it stands in a policy: {@code teal}
 * @param title what it does, in one line
 * @param paper authors, title, venue and year, and where to find it
 */
public record MethodInfo(String name, String title, String paper) {}
