package ai.winnow.sparsity.activation.wina;

import ai.winnow.ir.Role;
import java.util.Set;

/** Where the norms of columns go into the scores; elsewhere the magnitude decides alone. */
public enum Norms {
    /** In key and gate, the matrices that the rotation makes orthogonal: what the authors' code does. */
    KEY_GATE(Set.of(Role.KEY, Role.GATE)),
    /** Everywhere: what the paper's formula says. */
    ALL(Set.of(Role.QUERY, Role.KEY, Role.VALUE, Role.OUTPUT, Role.GATE, Role.UP, Role.DOWN));

    private final Set<Role> roles;

    Norms(Set<Role> roles) {
        this.roles = roles;
    }

    Set<Role> roles() {
        return roles;
    }
}
