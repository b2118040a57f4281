package ai.winnow.tensor;

/** Where memory lies. */
public record Device(Kind kind, int index) {

    public static final Device HOST = new Device(Kind.HOST, 0);

    /** The kinds of memory a storage can lie in. */
    public enum Kind {
        HOST,
        CUDA
    }

    public static Device cuda(int index) {
        return new Device(Kind.CUDA, index);
    }

    @Override
    public String toString() {
        return kind == Kind.HOST ? "host" : "cuda:" + index;
    }
}
