package ai.winnow.method;

import ai.winnow.IncompatiblePolicyException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The options of one method of a policy, as text. Reads are checked and remembered, so that {@link #done()} can name options
 * that nobody knows.
 */
public final class MethodOptions {

    private final String method;
    private final Map<String, String> values;
    private final Set<String> known = new HashSet<>();

    public MethodOptions(String method, Map<String, String> values) {
        this.method = method;
        this.values = new TreeMap<>(values);
    }

    /** A share in [0, 1): how much is removed. */
    public float sparsity(String name, float fallback) {
        return number(name, fallback, 0, Math.nextDown(1f));
    }

    public float number(String name, float fallback, float min, float max) {
        String text = text(name);
        if (text == null) {
            return fallback;
        }
        float value;
        try {
            value = Float.parseFloat(text);
        } catch (NumberFormatException e) {
            throw new IncompatiblePolicyException(method + ": " + name + " must be a number, not '" + text + "'", e);
        }
        if (!(min <= value && value <= max)) {
            throw new IncompatiblePolicyException(
                    method + ": " + name + " must be from " + min + " to " + max + ", not " + text);
        }
        return value;
    }

    public int integer(String name, int fallback, int min, int max) {
        String text = text(name);
        if (text == null) {
            return fallback;
        }
        int value;
        try {
            value = Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw new IncompatiblePolicyException(
                    method + ": " + name + " must be a whole number, not '" + text + "'", e);
        }
        if (value < min || value > max) {
            throw new IncompatiblePolicyException(
                    method + ": " + name + " must be from " + min + " to " + max + ", not " + text);
        }
        return value;
    }

    public boolean flag(String name, boolean fallback) {
        String text = text(name);
        return switch (text == null ? String.valueOf(fallback) : text) {
            case "true" -> true;
            case "false" -> false;
            default ->
                throw new IncompatiblePolicyException(
                        method + ": " + name + " must be true or false, not '" + text + "'");
        };
    }

    /** One of the constants of an enum, in lower case with dashes. */
    public <E extends Enum<E>> E choice(String name, E fallback) {
        String text = text(name);
        if (text == null) {
            return fallback;
        }
        for (E constant : fallback.getDeclaringClass().getEnumConstants()) {
            if (spell(constant).equals(text)) {
                return constant;
            }
        }
        throw new IncompatiblePolicyException(method + ": " + name + " must be one of "
                + Arrays.stream(fallback.getDeclaringClass().getEnumConstants())
                        .map(MethodOptions::spell)
                        .toList()
                + ", not '" + text + "'");
    }

    /** How {@link #choice} spells a constant. */
    public static String spell(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** @throws IncompatiblePolicyException if there is an option that was never asked for */
    public void done() {
        for (String name : values.keySet()) {
            if (!known.contains(name)) {
                throw new IncompatiblePolicyException(
                        method + ": unknown option '" + name + "'; known: " + new TreeSet<>(known));
            }
        }
    }

    private @Nullable String text(String name) {
        known.add(name);
        return values.get(name);
    }
}
