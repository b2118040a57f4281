package ai.winnow.examples;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class StoriesTest {

    @Test
    void calibrationAndScoringShareNoStory() {
        Stories stories = Stories.load();
        assertThat(stories.calibration()).hasSizeGreaterThan(50).doesNotContainAnyElementsOf(stories.scored());
        assertThat(stories.scored()).hasSizeGreaterThan(50).allMatch(story -> story.length() >= 300);
    }

    @Test
    void windowsBeginWithTheirTokenAndStayWithinAStory() {
        List<int[]> windows = Stories.windows(
                List.of("abcdefg", "hi"), 1, 4, story -> story.chars().toArray());
        assertThat(windows).containsExactly(new int[] {1, 'a', 'b', 'c'}, new int[] {1, 'd', 'e', 'f'});
    }

    @Test
    void spreadTakesFromBeginningToEnd() {
        List<int[]> windows = List.of(new int[] {0}, new int[] {1}, new int[] {2}, new int[] {3});
        assertThat(Stories.spread(windows, 2)).containsExactly(windows.get(0), windows.get(2));
        assertThat(Stories.spread(windows, 9)).isEqualTo(windows);
    }
}
