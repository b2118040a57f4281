package ai.winnow;

/** More requests than there is room to wait: try again later, or send the caller elsewhere. Nothing was started. */
public final class OverloadedException extends WinnowException {

    private static final long serialVersionUID = 1L;

    public OverloadedException(String message) {
        super(message, null);
    }
}
