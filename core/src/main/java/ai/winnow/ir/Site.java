package ai.winnow.ir;

/** Where in a model a node stands: its layer, counted from 0 ({@link #GLOBAL} outside the layers), and its role there. */
public record Site(int layer, Role role) implements Comparable<Site> {

    /** The layer of nodes that stand outside the layers. */
    public static final int GLOBAL = -1;

    public static Site of(int layer, Role role) {
        return new Site(layer, role);
    }

    public static Site global(Role role) {
        return new Site(GLOBAL, role);
    }

    /** A name for files: {@code layer.3.down}, {@code head}. */
    public String key() {
        String name = role.name().toLowerCase(java.util.Locale.ROOT);
        return layer == GLOBAL ? name : "layer." + layer + "." + name;
    }

    @Override
    public int compareTo(Site other) {
        int byLayer = Integer.compare(layer, other.layer);
        return byLayer != 0 ? byLayer : role.compareTo(other.role);
    }

    @Override
    public String toString() {
        return layer == GLOBAL ? role.toString() : role + " of layer " + layer;
    }
}
