"""Griptape's assistant driver and an agency of Agency Swarm, each with what it has."""

import os
import sys
import tempfile
import warnings

warnings.simplefilter("ignore")
os.environ |= {"OPENAI_BASE_URL": sys.argv[1], "OPENAI_API_KEY": "none"}
os.chdir(tempfile.mkdtemp())

from agency_swarm import Agency, Agent, BaseTool, set_openai_client
from griptape.drivers.assistant.openai import OpenAiAssistantDriver
from griptape.events import EventBus, EventListener, TextChunkEvent
from griptape.structures import Agent as GriptapeAgent
from griptape.tasks import AssistantTask
from openai import OpenAI

client = OpenAI(max_retries=0)


def drive_griptape():
    said = []
    EventBus.add_event_listener(EventListener(lambda event: said.append(event.token), event_types=[TextChunkEvent]))
    made = client.beta.assistants.create(model="gpt-4-turbo")
    driver = OpenAiAssistantDriver(base_url=sys.argv[1], api_key="none", assistant_id=made.id)
    GriptapeAgent(tasks=[AssistantTask(assistant_driver=driver)]).run("@say Hello you")
    assert "".join(said) == "Hello you", said


class Weather(BaseTool):
    """The weather in Rome."""

    def run(self):
        return "warm"


def drive_agency():
    set_openai_client(client)
    agent = Agent(name="Forecaster", description="d", instructions="Be brief.", tools=[Weather], model="gpt-4o")
    agency = Agency([agent], shared_instructions="Be kind.")
    answer = agency.get_completion("@call Weather {}\n@then\n@say It is warm there.")
    assert answer == "It is warm there.", answer
    agent.delete()


drive_griptape()
drive_agency()
