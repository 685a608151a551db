/**
 * Words that say nothing about what a live chat talks about. A hot-words board shows topics and moods; these would stand
 * on it all day.
 *
 * The rule for this list: a word goes in if it would be as likely in any other stream at any other minute. So pronouns,
 * pointing words, connectives, degree adverbs, bare verbs of being and doing: in. Out stays what a moment brings forth,
 * however common: 대박, 미쳤다, 와, gg, lol, ㅋㅋ, ㅠㅠ, 👏 and numbers (people vote with 1 and 2). Dictionaries of stop words
 * were no help: stopwords-ko has 679 and lacks 진짜.
 *
 * Closed on purpose: some 800 words, looked up in one Set. A stop word with a particle (오늘은) is one too; the tokenizer
 * sees to that for stems of two letters and more, single-letter pronouns stand here with their forms.
 */
const korean = `
  나 난 날 내 내가 나는 나도 나를 나만 나의 나랑 나한테 저 전 절 제 제가 저는 저도 저를 저만 저의 저희 우리 저한테
  너 넌 널 네가 니가 너는 너도 너를 너만 너의 너희 니 걔 얘 쟤 누구 누가 누군가 다들 모두 여러분 자기 본인 사람 사람들
  이 그 저 이거 그거 저거 이건 그건 저건 이게 그게 저게 이걸 그걸 저걸 이것 그것 저것 이런 그런 저런 이렇게 그렇게 저렇게
  여기 거기 저기 이쪽 그쪽 저쪽 어디 언제 뭐 뭘 뭐가 뭔가 뭔지 무슨 무엇 어떤 어느 어떻게 어떡해 어케 왜 왤케 얼마나 몇
  것 거 건 게 걸 수 때 줄 등 중 점 및 번 개 명 분 쪽 데 바 뿐 만큼 정도 때문 때문에 동안
  그리고 그래서 그런데 근데 그러나 하지만 그럼 그러면 그러니까 그니까 그래도 그냥 걍 또는 혹은 즉 아니면 왜냐하면 따라서
  진짜 진짜로 정말 정말로 레알 너무 넘 너무너무 완전 매우 아주 되게 엄청 많이 조금 좀 쫌 더 덜 제일 가장 꽤 약간 훨씬 워낙
  다 잘 못 안 또 꼭 막 딱 확 쭉 좀더 다시 계속 자꾸 항상 맨날 가끔 자주 원래 역시 아마 혹시 설마 일단 벌써 아직 이미 이제 인제
  지금 방금 아까 나중 나중에 오늘 어제 내일 요즘 언젠가 먼저 바로 빨리 같이 함께 서로 혼자 따로 특히 사실 솔직히 물론 당연히
  아니 아니야 아닌 아닌데 아님 아냐 맞아 맞다 맞음 맞는 그래 그래요 그렇지 그쵸 그치 네 넵 예 응 음 어 아 오 앗 엥 흠 자 야
  있다 있는 있어 있어요 있음 있고 있지 있네 있나 있는데 있을 없다 없는 없어 없어요 없음 없고 없지 없네 없나 없는데 없이
  같다 같은 같아 같아요 같음 같네 같은데 하다 하는 하고 해서 해요 했다 했어 했음 한다 하면 하자 하네 하지 할 한 해 함 하나 하게 하려고
  되다 되는 되고 돼 돼요 된다 됐다 됐어 되면 되네 된 될 됨 안돼 이다 입니다 인데 이랑 이라고 라고 라는 이라는 대한 위해 통해 따라
  싶다 싶어 싶은 싶네 보다 보고 보면 봐 봐요 본 볼 가다 가는 가고 간다 갈 오다 오는 온다 올 주다 주는 준 줘 알아 알지 몰라 모름 모르겠다
  거예요 거에요 거야 거라 거지 건데 것도 것은 것이 것을 수가 수는 수도 때가 때는 때도 줄은 듯 듯이 듯한 후 후에 참 두 세 한번 이번 다음
  하세요 마세요 보세요 해보세요 주세요 가보세요 합니다 했는데 할까 할까요 할게요 해도 해야 해야지 될까 될까요 말고 그럴 그렇게요
  있으면 있을까 있을까요 있죠 있나요 있습니다 없나요 없습니다 않아 않아요 않은 않는 않을 않고 싶은데 싶어요 싶다고 아니에요 아닌가
  좋은 좋을 좋죠 좋겠다 좋겠어 좋겠어요 좋겠네요 바라요 바랄게요 바랍니다 몰라요 모르겠어 모르겠어요 모르는 다른 많은 많아 많네
  결국 갑자기 얼른 직접 들 님 씨 시간 생각
`;

const english = `
  a an the and or but nor so yet if then else than that this these those there here it its it's he she they them we us you i me my
  mine your yours his her hers our ours their theirs who whom whose what which when where why how
  am is are was were be been being do does did done doing have has had having can could will would shall should may might must
  isn't aren't wasn't weren't don't dont doesn't doesnt didn't didnt can't cant couldn't won't wont wouldn't shouldn't haven't hasn't
  i'm im i've ive i'll i'd you're youre youve you've you'll u ur r we're we've we'll they're theyre they've he's hes she's shes that's
  thats there's theres what's whats who's let's lets ain't
  not no yes yeah yep ok okay of to in on at by for from with without about into over under up down out off as
  just really very too also even still only ever never always again already almost maybe much many more most some any all
  both each every other another such same own now today soon later like get got getting go goes going gonna wanna gotta
  make makes made say says said see know think thought want need one thing things stuff way lot lots bit oh ah um uh hmm
  because cause cuz bc while until before after well anyway please pls plz
`;

/** Japanese as Intl.Segmenter cuts it, and the commonest function words of Chinese. */
const han = `
  これ それ あれ この その あの ここ そこ どこ なに 何 なん だれ 誰 いつ なぜ どう こう そう です ます でした ました だった する した して
  いる いた いて ある あった ない なかった なる なった れる られる から まで より って という もの こと ため ところ とき 時 今 今日 もう
  まだ また でも だけ しか など よう みたい 私 俺 僕 あなた 人 さん くん ちゃん ので のに けど だから
  的 了 是 我 你 他 她 们 我们 你们 他们 这 那 这个 那个 什么 怎么 不 没 没有 有 在 就 都 也 很 和 吗 吧 呢 啊 一个
`;

export const stopWords: ReadonlySet<string> = new Set(`${korean} ${english} ${han}`.trim().split(/\s+/));
