package ai.winnow.ir;

/** What a node does in its layer. Methods ask for roles, never for models. */
public enum Role {
    TOKEN_EMBED,
    PATCH_EMBED,
    POSITION_EMBED,
    ATTENTION_NORM,
    QUERY,
    KEY,
    VALUE,
    QUERY_NORM,
    KEY_NORM,
    QUERY_ROTARY,
    KEY_ROTARY,
    KV_APPEND,
    ATTENTION,
    OUTPUT,
    ATTENTION_RESIDUAL,
    MLP_NORM,
    ROUTER,
    EXPERT,
    GATE,
    ACTIVATION,
    UP,
    PRODUCT,
    DOWN,
    MLP_RESIDUAL,
    FINAL_NORM,
    SELECT_ROWS,
    HEAD,
    OTHER
}
