"""The stories that the demo can tell: one for each strategy, and one of a canary that late labels judge."""

from cluster.demo.stories.abtest import ABTest
from cluster.demo.stories.bluegreen import BlueGreen
from cluster.demo.stories.canary import Canary
from cluster.demo.stories.labels import WrongAnswers
from cluster.demo.stories.shadow import Shadow
from cluster.demo.story import Story

STORIES: dict[str, type[Story]] = {
    "canary": Canary,
    "bluegreen": BlueGreen,
    "shadow": Shadow,
    "abtest": ABTest,
    "labels": WrongAnswers,
}
