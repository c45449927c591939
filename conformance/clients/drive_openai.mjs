// A program of the stock npm SDK: tools answered in a polled run, then in a stream, with its accumulators.
// Arguments: the folder of the environment, the base URL.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const [environment, baseURL] = process.argv.slice(2);
const { OpenAI, BadRequestError } = createRequire(`${environment}/`)('openai');
const old = createRequire(`${environment}/`)('openai/version').VERSION.startsWith('4.');

const client = new OpenAI({ apiKey: 'none', baseURL, maxRetries: 0 });
const { threads, assistants } = client.beta;
const WEATHER = { type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } };
const SCRIPT = '@call weather {"city":"Rome"}\n@call weather {"city":"Oslo"}\n@then\n@say Warm and cold.';

// Version 4 names the thread first, later ones in the parameters.
const inThread = (method, thread, id, more) => (old ? method(thread, id, more) : method(id, { thread_id: thread, ...more }));
const outputsOf = (run) =>
  run.required_action.submit_tool_outputs.tool_calls.map((call) => ({
    tool_call_id: call.id,
    output: JSON.parse(call.function.arguments).city,
  }));

const assistant = await assistants.create({ model: 'gpt-4-turbo', tools: [WEATHER] });
const thread = await threads.create({ messages: [{ role: 'user', content: SCRIPT }] });

const began = performance.now();
let run = await threads.runs.createAndPoll(thread.id, { assistant_id: assistant.id });
assert.equal(run.status, 'requires_action');
await assert.rejects(threads.messages.create(thread.id, { role: 'user', content: 'Too early' }), BadRequestError);
const submit = threads.runs.submitToolOutputsAndPoll.bind(threads.runs);
run = await inThread(submit, thread.id, run.id, { tool_outputs: outputsOf(run) });
assert.equal(run.status, 'completed');
assert.ok(performance.now() - began < 4000, 'Polling waited for its own 5 seconds.');

await threads.messages.create(thread.id, { role: 'user', content: SCRIPT });
const stream = threads.runs.stream(thread.id, { assistant_id: assistant.id });
const calls = [];
stream.on('toolCallDone', (call) => calls.push(call.function.arguments));
run = await stream.finalRun();
assert.equal(run.status, 'requires_action');
assert.deepEqual(calls, ['{"city":"Rome"}', '{"city":"Oslo"}']);
const submitStream = threads.runs.submitToolOutputsStream.bind(threads.runs);
const second = inThread(submitStream, thread.id, run.id, { tool_outputs: outputsOf(run) });
let said = '';
second.on('textDelta', (delta) => (said += delta.value));
assert.equal((await second.finalRun()).status, 'completed');
assert.equal(said, 'Warm and cold.');
const [message] = await second.finalMessages();
assert.equal(message.content[0].text.value, said);

const listed = [];
for await (const each of threads.messages.list(thread.id, { limit: 1, order: 'asc' })) listed.push(each.role);
assert.deepEqual(listed, ['user', 'assistant', 'user', 'assistant']);
const remove = old ? 'del' : 'delete';
assert.ok((await threads[remove](thread.id)).deleted);
