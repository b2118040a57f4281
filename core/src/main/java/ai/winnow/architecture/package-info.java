/**
 * Model families: from a checkpoint's {@code config.json} to graphs whose nodes carry sites. One file a family; nothing above
 * this package knows a family's name. Everything that a family does not compute is refused by name before a graph is built.
 */
package ai.winnow.architecture;
