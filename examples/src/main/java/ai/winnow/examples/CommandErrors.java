package ai.winnow.examples;

import ai.winnow.WinnowException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.ParseResult;

/** Errors that Winnow explains are told in one line; a stack trace is for those that it did not expect. */
final class CommandErrors implements IExecutionExceptionHandler {

    private CommandErrors() {}

    /** Runs a command as a process does: exits when done, with 1 if it failed, 2 if it was called wrongly. */
    static void runAndExit(CommandLine command, String... arguments) {
        // Stories hold curly quotes, whatever the terminal's locale.
        System.setOut(new PrintStream(System.out, true, StandardCharsets.UTF_8));
        System.exit(explained(command).execute(arguments));
    }

    static CommandLine explained(CommandLine command) {
        return command.setExecutionExceptionHandler(new CommandErrors());
    }

    @Override
    public int handleExecutionException(Exception problem, CommandLine command, ParseResult result) throws Exception {
        if (problem instanceof WinnowException || problem instanceof IllegalArgumentException) {
            command.getErr().println(command.getColorScheme().errorText(String.valueOf(problem.getMessage())));
            return command.getCommandSpec().exitCodeOnExecutionException();
        }
        throw problem;
    }
}
