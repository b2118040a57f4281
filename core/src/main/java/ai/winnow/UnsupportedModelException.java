package ai.winnow;

import org.jspecify.annotations.Nullable;

/** A model family, or a field of its configuration, that Winnow does not compute. */
public final class UnsupportedModelException extends WinnowException {

    private static final long serialVersionUID = 1L;

    public UnsupportedModelException(String message) {
        this(message, null);
    }

    public UnsupportedModelException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
