// What the accumulators of the npm SDK make of each shape of stream. Arguments: the environment's folder, the base URL.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [environment, baseURL] = process.argv.slice(2);
const load = createRequire(`${environment}/`);
const { OpenAI } = load('openai');
const old = load('openai/version').VERSION.startsWith('4.');
const { threads, assistants } = new OpenAI({ apiKey: 'none', baseURL, maxRetries: 0 }).beta;

const textOf = (content) => content.map((part) => (part.type === 'text' ? part.text.value : part.refusal)).join('');
const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
const assistant = await assistants.create({ model: 'scripted', tools });

const cancel = (thread, run) => (old ? threads.runs.cancel(thread, run) : threads.runs.cancel(run, { thread_id: thread }));

function submit(thread, run) {
  const tool_outputs = run.required_action.submit_tool_outputs.tool_calls.map((call) => ({
    tool_call_id: call.id,
    output: 'x',
  }));
  return old
    ? threads.runs.submitToolOutputsStream(thread, run.id, { tool_outputs })
    : threads.runs.submitToolOutputsStream(run.id, { thread_id: thread, tool_outputs });
}

async function listen(stream, facts, thread, status) {
  if (status === 'cancelled') {
    stream.once('messageDelta', () => cancel(thread, stream.currentRun().id));
  }
  const run = await stream.finalRun();
  for (const step of await stream.finalRunSteps()) {
    for (const call of step.step_details.tool_calls ?? []) {
      const known = facts.ids.has(call.id);
      facts.ids.add(call.id);
      if (!known) facts.calls.push([call.function.name, call.function.arguments]);
    }
  }
  for (const message of await stream.finalMessages()) facts.text.push(textOf(message.content));
  return run;
}

const read = {};
for (const [name, [script, status]] of Object.entries(JSON.parse(readFileSync(0, 'utf8')))) {
  const thread = (await threads.create({ messages: [{ role: 'user', content: script }] })).id;
  const facts = { thread, text: [], calls: [], ids: new Set() };
  read[name] = facts;
  try {
    let run = await listen(threads.runs.stream(thread, { assistant_id: assistant.id }), facts, thread, status);
    while (run.status === 'requires_action' && status !== 'requires_action') {
      run = await listen(submit(thread, run), facts, thread, status);
    }
    facts.status = run.status;
  } catch (error) {
    facts.status = `rejected: ${error.message}`;
  }
  delete facts.ids;
}
console.log(JSON.stringify(read));
