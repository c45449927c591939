// LangChain's OpenAIAssistantRunnable for Node: tool calls answered by hand, then the thread goes on.
// Arguments: the folder of the environment, the base URL.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [environment, baseURL] = process.argv.slice(2);
const { OpenAIAssistantRunnable } = createRequire(`${environment}/`)('langchain/experimental/openai_assistant');
const SCRIPT = '@call weather {"city":"Rome"}\n@call weather {"city":"Oslo"}\n@then\n@say Warm and cold.';
const WEATHER = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
};

const agent = await OpenAIAssistantRunnable.createAssistant({
  model: 'gpt-4-turbo',
  name: 'A',
  instructions: 'Be brief.',
  tools: [WEATHER],
  clientOptions: { apiKey: 'none', baseURL, maxRetries: 0 },
  asAgent: true,
});
agent.pollIntervalMs = 20;
const actions = await agent.invoke({ content: SCRIPT });
assert.deepEqual(actions.map((each) => each.toolInput), [{ city: 'Rome' }, { city: 'Oslo' }]);
const finish = await agent.invoke({
  toolOutputs: actions.map((each) => ({ tool_call_id: each.toolCallId, output: each.toolInput.city })),
  runId: actions[0].runId,
  threadId: actions[0].threadId,
});
assert.equal(finish.returnValues.output, 'Warm and cold.');
const again = await agent.invoke({ content: '@say Hello again', threadId: finish.returnValues.threadId });
assert.equal(again.returnValues.output, 'Hello again');
