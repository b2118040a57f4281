package ai.winnow;

import org.jspecify.annotations.Nullable;

/** Tensors, ops or arguments whose shapes or element types do not fit together. */
public final class ShapeException extends WinnowException {

    private static final long serialVersionUID = 1L;

    public ShapeException(String message) {
        this(message, null);
    }

    public ShapeException(String message, @Nullable Throwable cause) {
        super(message, cause);
    }
}
