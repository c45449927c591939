// Backboard's npm SDK: an assistant, a thread, a message, a stream, a round of tools, a memory.
// Arguments: the folder of the environment, the base URL.
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

const [environment, base] = process.argv.slice(2);
// It exports itself to imports only, which look for packages beside this file.
const { BackboardClient } = await import(pathToFileURL(`${environment}/node_modules/backboard-sdk/dist/index.js`));

const client = new BackboardClient({ apiKey: 'none', baseUrl: base.replace(/\/v1$/, '/api') });
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'weather', description: 'The weather.', parameters } }];
const SCRIPT = '@call weather {"city":"Rome"}\n@then\n@say It is warm.';

const assistant = await client.createAssistant({ name: 'Bot', description: 'Be brief.', tools });
const { threadId } = await client.createThread(assistant.assistantId);

const reply = await client.addMessage(threadId, { content: '@say Hello.', stream: false });
assert.equal(reply.content, 'Hello.');
assert.equal(reply.status, 'COMPLETED');

let text = '';
let last;
for await (const event of await client.addMessage(threadId, { content: '@say Hello you.', stream: true })) {
  if (event.type === 'content_streaming') text += event.content;
  last = event;
}
assert.equal(text, 'Hello you.');
assert.equal(last.type, 'run_ended');

const asked = await client.addMessage(threadId, { content: SCRIPT, stream: false });
assert.equal(asked.status, 'REQUIRES_ACTION');
const outputs = asked.toolCalls.map((call) => ({ tool_call_id: call.id, output: '31' }));
const answered = await client.submitToolOutputs(threadId, asked.runId, outputs);
assert.equal(answered.content, 'It is warm.');

const thread = await client.getThread(threadId);
assert.deepEqual(
  thread.messages.map((message) => message.role),
  ['user', 'assistant', 'user', 'assistant', 'user', 'assistant', 'tool', 'assistant'],
);
assert.ok(!Number.isNaN(new Date(thread.createdAt).getTime()));

await client.addMemory(assistant.assistantId, { content: 'Likes tea.' });
assert.equal((await client.getMemories(assistant.assistantId)).totalCount, 1);
await assert.rejects(client.getThread('9a2e0000-0000-4000-8000-000000000000'));
await client.deleteThread(threadId);
await client.deleteAssistant(assistant.assistantId);
